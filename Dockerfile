# One image for every process: honcho runs all three, docker-compose.yml and Kubernetes run one each.
#   docker build --target bridge .     bridge, worker and web
#   docker build .                     the same, and what coding sessions need: the agent, sandboxes, Git

FROM python:3.13-slim AS build
WORKDIR /src
ENV PIP_DISABLE_PIP_VERSION_CHECK=1
COPY pyproject.toml README.md requirements.txt requirements-agent.txt ./
COPY scripts/install-image.sh scripts/
COPY bridge bridge
# Without the embedded stores. The folder of the environment is its folder in the image, too: its commands name it.
RUN pip wheel --no-cache-dir --no-deps --wheel-dir dist . && scripts/install-image.sh python /venv

FROM build AS build-agent
RUN scripts/install-image.sh python /venv requirements-agent.txt

FROM python:3.13-slim AS bare
LABEL org.opencontainers.image.title="MobVibe bridge" \
      org.opencontainers.image.description="Background jobs from Postgres on Dramatiq's fleet" \
      org.opencontainers.image.version="0.1.0"
# The environment has no installer, and so must the Python below it have none.
RUN pip uninstall --yes --root-user-action=ignore pip && rm -rf /usr/local/lib/python3.13/ensurepip \
    && useradd --uid 10001 --create-home --shell /usr/sbin/nologin mobvibe
WORKDIR /app
COPY Procfile ./
COPY actors actors
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NODE_ENV=production \
    BIND_HOST=0.0.0.0 \
    MOBVIBE_DIR=/tmp/mobvibe
EXPOSE 8080
STOPSIGNAL SIGTERM
# For all three; who runs one process alone names that one, as docker-compose.yml does.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["mobvibe", "healthcheck", "bridge", "worker", "web"]
CMD ["honcho", "start"]

FROM bare AS bridge
COPY --from=build /venv /venv
USER 10001

FROM bare AS sessions
# Sandboxes, and snapshots of their files.
RUN apt-get update && apt-get install -y --no-install-recommends bubblewrap git && rm -rf /var/lib/apt/lists/*
COPY --from=build-agent /venv /venv
USER 10001
