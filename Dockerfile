FROM python:3.13-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 PIP_NO_CACHE_DIR=1

WORKDIR /app
COPY requirements.txt .
RUN pip install -r requirements.txt \
 && useradd --system --home-dir /data --shell /usr/sbin/nologin agentledger
COPY manage.py LICENSE ./
COPY agentledger_site agentledger_site
COPY mcp mcp
COPY reports reports
COPY capture capture
COPY access access
COPY templates templates
COPY static static
COPY docker docker

# Database and spool lie here; a named volume or a folder of the host keeps them.
VOLUME /data
ENV AGENTLEDGER_DSN=sqlite:////data/agentledger.db AGENTLEDGER_SPOOL_DIR=/data/spool
# Requests come through the engine's network, whoever sends them: no address is the operator's. Unless
# AGENTLEDGER_API_KEY is set, a key is made, and the log has a link to sign in with.
ENV AGENTLEDGER_LOCAL_OPERATOR=0
EXPOSE 8000
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s CMD ["python", "docker/health.py"]
# Ends when its calls have: `docker stop --time 45` gives them AGENTLEDGER_SHUTDOWN_S and the recorder.
STOPSIGNAL SIGTERM
ENTRYPOINT ["python", "docker/entrypoint.py"]
CMD ["python", "manage.py", "runproxy"]
