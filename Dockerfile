# Salver as a container: `docker build -t salver .`. The store is the volume /var/lib/salver.
FROM python:3.13-slim

COPY pyproject.toml README.md LICENSE /src/
COPY src /src/src
RUN pip install --no-cache-dir "/src[train,grpc,zstd,log,store,environments]" && rm -r /src

# Salver keeps everything it has in a folder of its name below this one.
ENV XDG_DATA_HOME=/var/lib UV_CACHE_DIR=/var/lib/salver/cache/uv
RUN useradd --system --uid 10001 --no-create-home salver && install -d -o salver -g salver /var/lib/salver
USER salver
VOLUME /var/lib/salver

EXPOSE 8080
HEALTHCHECK --start-period=2m CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/health/ready')"]

# Listening for others: it starts only when the store has a key, or with --insecure-no-keys too.
ENTRYPOINT ["salver"]
CMD ["serve", "--host", "0.0.0.0"]
