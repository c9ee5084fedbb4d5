# Two stages: the first builds the wheel and its environment, the second carries nothing else.
FROM python:3.13-slim AS build
WORKDIR /src
COPY requirements.lock ./
RUN python -m venv /opt/relay \
 && /opt/relay/bin/pip install --no-cache-dir --disable-pip-version-check --require-hashes -r requirements.lock
COPY pyproject.toml README.md LICENSE ./
COPY presets presets
COPY src src
RUN pip wheel --no-cache-dir --disable-pip-version-check --no-deps --wheel-dir /wheels . \
 && /opt/relay/bin/pip install --no-cache-dir --disable-pip-version-check --no-deps /wheels/*.whl

FROM python:3.13-slim
RUN useradd --system --uid 10001 --home-dir /data --no-create-home relay \
 && install -d -o relay -g relay -m 0700 /data
COPY --from=build /opt/relay /opt/relay
ENV PATH=/opt/relay/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    RELAY_HOST=0.0.0.0 \
    RELAY_PORT=8080 \
    RELAY_DATABASE_URL=sqlite:////data/relay.db \
    RELAY_LOG_FORMAT=json
USER relay
WORKDIR /data
VOLUME /data
EXPOSE 8080
# The service stops accepting, finishes what is on its way and closes its database.
STOPSIGNAL SIGTERM
# http.client, because urllib would ask a proxy of the environment even for this machine.
HEALTHCHECK --interval=10s --timeout=3s --start-period=15s --retries=3 \
  CMD ["python", "-c", "import http.client as h, os, sys; c = h.HTTPConnection('127.0.0.1', int(os.environ['RELAY_PORT']), timeout=2); c.request('GET', '/readyz'); sys.exit(c.getresponse().status != 200)"]
ENTRYPOINT ["conversion-relay"]
CMD ["serve"]
