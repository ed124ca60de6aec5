# Assay as a container image: docs/howto/deploy.md says how to run it.

FROM python:3.11-slim-bookworm AS build
# Bytecode is made now, since nothing may be written later. Empty: not made, for a quicker build and a slower start.
ARG BYTECODE=--compile-bytecode
WORKDIR /build
COPY requirements-uv.lock requirements-image.lock ./
# Both installs check every file against its hash; nothing is compiled, so that no compiler is needed anywhere.
RUN --mount=type=cache,target=/root/.cache/pip \
    python -m pip install --require-hashes --no-deps --target /opt/uv -r requirements-uv.lock
RUN --mount=type=cache,target=/root/.cache/uv \
    python -m venv --without-pip /opt/assay \
    && /opt/uv/bin/uv pip install --python /opt/assay/bin/python --link-mode copy ${BYTECODE} \
        --require-hashes --no-deps --only-binary :all: -r requirements-image.lock \
    && rm -f /opt/assay/.lock
COPY app /opt/assay/src/app
COPY migrations /opt/assay/src/migrations
# -P, here and below: Python looks for modules in the current folder first, and that is /data, which can be written to.
RUN python -m compileall -q /opt/assay/src \
    && echo /opt/assay/src > "$(/opt/assay/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/assay.pth" \
    && printf '#!/bin/sh\nexec /opt/assay/bin/python -P -m app.cli "$@"\n' > /opt/assay/bin/assay \
    && chmod 0755 /opt/assay/bin/assay

FROM python:3.11-slim-bookworm
# Writes go to /data and /tmp only: everything else may be read-only. A number as user, so that Kubernetes sees that it
# is not root; a name too, because PostgreSQL's initdb wants one.
RUN groupadd --gid 10001 assay \
    && useradd --uid 10001 --gid assay --home-dir /data --no-create-home --shell /usr/sbin/nologin assay \
    && install -d -o assay -g assay -m 0700 /data
COPY --from=build /opt/assay /opt/assay
ENV PATH=/opt/assay/bin:/usr/local/bin:/usr/bin:/bin \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    ASSAY_DATA_DIR=/data \
    ASSAY_HTTP__HOST=0.0.0.0
WORKDIR /data
USER 10001:10001
VOLUME /data
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-P", "-c", "import os, urllib.request as web; web.urlopen(f\"http://127.0.0.1:{os.environ.get('ASSAY_PORT') or 8080}/api/v1/system/health/ready\", timeout=4)"]
# `assay serve` takes signals itself; `docker run --init` (compose: `init: true`) reaps what a killed worker leaves.
ENTRYPOINT ["assay"]
CMD ["serve"]
