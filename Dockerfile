# One image for every process: honcho runs all three, compose.yml and Kubernetes run one each.

FROM python:3.13-slim AS build
WORKDIR /src
RUN python -m venv /venv
ENV PATH=/venv/bin:$PATH PIP_DISABLE_PIP_VERSION_CHECK=1
COPY pyproject.toml constraints.txt README.md ./
COPY bridge bridge
# Without the extras: no embedded stores in an image.
RUN pip install --no-cache-dir --constraint constraints.txt .

FROM python:3.13-slim
LABEL org.opencontainers.image.title="MobVibe bridge" \
      org.opencontainers.image.description="Background jobs from Postgres on Dramatiq's fleet"
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin mobvibe
COPY --from=build /venv /venv
WORKDIR /app
COPY Procfile ./
COPY actors actors
ENV PATH=/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    NODE_ENV=production \
    BIND_HOST=0.0.0.0 \
    MOBVIBE_DIR=/tmp/mobvibe
USER 10001
EXPOSE 8080
STOPSIGNAL SIGTERM
# For all three; who runs one process alone names that one, as docker-compose.yml does.
HEALTHCHECK --interval=30s --timeout=5s --start-period=10s --retries=3 CMD ["mobvibe", "healthcheck", "bridge", "worker", "web"]
CMD ["honcho", "start"]
