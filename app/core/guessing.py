"""How many guesses a text takes whoever tries the likely ones first.

Loading this takes a tenth of a second, most of it zxcvbn's lists of words.
"""

import re

from zxcvbn import zxcvbn

ESTIMATED = 32  # characters that the estimate looks at: of 72 chosen ones it takes seconds, of 32 a fifth of one
# Guesses at whoever holds a token cost nobody but the guesser. 24 random bytes are estimated at 10^27 and more, however
# they are written; a sentence of words at less than 10^26.
OFFLINE = 1e26
ONLINE = 1e10  # each is a request: at a thousand a second, four months. 12 random bytes are estimated at 10^11 and more
_WORDS = (  # of which people make up secrets, or copy them from an example
    *("assay", "secret", "supersecret", "key", "jwt", "hs256", "token", "auth", "signing", "my", "your", "super"),
    *("long", "random", "production", "example", "sample", "default", "change", "placeholder", "insecure"),
    *("metrics", "prometheus", "scrape", "scraper", "monitoring"),
)
_OF_EXAMPLES = ("changeme", "change-me", "change_me", "changethis", "password", "default", "insecure")
_PUBLISHED = (  # keys that stand in documentation and tutorials, and so in lists of what to try
    "09d25e094faa6ca2556c818166b7a9563b93f7099f6f0f4caa6cf63b88e8d3e7",  # FastAPI's page on JWT
    "192b9bdd22ab9ed4d12e236c78afcb9a393ec15f71bbf5dc987d54727823bcbf",  # Flask's quickstart
    "404e635266556a586e3272357538782f413f4428472b4b6250645367566b5970",  # tutorials of Spring Security
    "aym1sysppbyhfgzld3umj1qzkobwvmkoqq-estjqlr_t-1qs0gzh75aktmn3yj0ips4hcguutwjazzr1z9cayow",  # RFC 7515, A.1
)


def guesses(text: str, *known: str) -> float:
    """`known`: what an attacker would try before anything else."""
    return float(zxcvbn(text[:ESTIMATED], user_inputs=list(known))["guesses"])


def guessable(secret: str, least: float) -> bool:
    """Whether a secret that a machine should have made takes fewer than `least` guesses, or is a published one.

    >>> guessable("my-super-secret-jwt-signing-key-123", OFFLINE)
    True
    >>> guessable("kX93hf82LqPz7Vb1Nw0sRtQv7xW2mN9p", OFFLINE)
    False
    """
    small = secret.lower()
    if any(known in small for known in (*_OF_EXAMPLES, *_PUBLISHED)):
        return True
    letters = re.sub(r"[^a-z0-9]+", "", small)  # between words they are estimated at ten times the guesses each
    return guesses(letters, *_WORDS) < least
