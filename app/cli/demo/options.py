"""What the demo is called and how it is told what to do; light enough for every command to import."""

from typing import Annotated

import typer

MODEL_ID = "flight-delays"
SPEED = 1.0
FOLDER = "demo"  # of the data directory: key, place in the year, scores

Speed = Annotated[float, typer.Option(min=0.01, max=366, help="days of the replayed year per second")]
