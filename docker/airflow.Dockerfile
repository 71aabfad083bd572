# Scheduler, API server, DAG processor, triggerer and default worker: everything but TensorFlow.
FROM python:3.11-slim-bookworm AS build
ARG UV_VERSION=0.9.7
RUN python -m venv /opt/uv && /opt/uv/bin/pip install --quiet --no-cache-dir "uv==${UV_VERSION}"
ENV PATH=/opt/uv/bin:$PATH UV_LINK_MODE=copy UV_NO_CACHE=1 VIRTUAL_ENV=/opt/venv
RUN uv venv --quiet --python /usr/local/bin/python3 /opt/venv
WORKDIR /src
COPY pyproject.toml constraints.txt ./
RUN uv pip install --quiet --compile-bytecode --constraint constraints.txt --requirement pyproject.toml \
      --extra validate --extra receive --extra airflow --extra server \
 && find /opt/venv -type d -name tests -prune -exec rm -rf {} +
COPY README.md LICENSE ./
COPY pneumo_tasks pneumo_tasks
COPY plugins plugins
COPY dags dags
RUN uv pip install --quiet --compile-bytecode --no-deps .

FROM python:3.11-slim-bookworm
LABEL org.opencontainers.image.title="pneumo-airflow" \
      org.opencontainers.image.description="Airflow with Pneumo: scheduler, API server, DAG processor, triggerer, default worker" \
      org.opencontainers.image.licenses="Apache-2.0"
# Uid and group as in the official chart and image: any user of group 0 may run it.
RUN useradd --uid 50000 --gid 0 --no-create-home --home-dir /opt/airflow airflow \
 && mkdir -p /opt/airflow/logs /var/cache/pneumo /var/lib/pneumo \
 && chown -R 50000:0 /opt/airflow /var/cache/pneumo /var/lib/pneumo \
 && chmod -R g=u /opt/airflow /var/cache/pneumo /var/lib/pneumo
COPY --from=build /opt/venv /opt/venv
COPY docker/start.sh docker/healthy.py docker/airflow.cfg /opt/pneumo/bin/
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 \
    HOME=/tmp MPLCONFIGDIR=/tmp/matplotlib GX_ANALYTICS_ENABLED=false DO_NOT_TRACK=1 \
    AIRFLOW_HOME=/opt/airflow AIRFLOW_CONFIG=/opt/pneumo/bin/airflow.cfg \
    AIRFLOW__CORE__DAGS_FOLDER=/opt/venv/share/pneumo/dags \
    PNEUMO_CACHE_FOLDER=/var/cache/pneumo
WORKDIR /opt/airflow
USER 50000:0
EXPOSE 8080 8793 11112
HEALTHCHECK --interval=60s --timeout=30s --start-period=120s --retries=3 CMD ["python", "/opt/pneumo/bin/healthy.py"]
ENTRYPOINT ["/opt/pneumo/bin/start.sh"]
CMD ["api-server"]
