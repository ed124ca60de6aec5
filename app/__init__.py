"""Assay: knows how accurate a deployed model is, says so honestly, and acts on it.

The floors of the house, top to bottom; imports go down only (`./dev check` holds it):

    cli | orchestrator                   entry points that people and machines start
    main | worker                        the application: settings in, FastAPI out | what runs jobs
    api | web                            the list of routers; the pages
    system                               health
    analytics                            trends, summary
    lifecycle                            setup, status, update: a model as a whole
    tracking                             predictions and labels in, joined, rolled up: the hot path
    models                               the registry: models, versions, aliases, states
    audit                                what was done by whom, and the chain over it
    jobs                                 the job engine: enqueue, follow, cancel, run
    auth                                 users, tokens, API keys, the one table role -> scopes
    idempotency                          what is sent again is carried out once
    db                                   engine, sessions, embedded server
    core | stats                         settings, errors, http | pure statistics

A slice holds all about one noun: `endpoints` (HTTP), `schemas`, `service` (use cases), `repository` (all its SQL),
`errors`, and modules named for pure rules. *Model* always means a machine-learning model; ORM classes are tables,
Pydantic classes are schemas.
"""

__version__ = "0.1.0"
