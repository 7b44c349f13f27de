# All of the vendor's file system and none of its settings: nothing can be changed in the volume that it declares.
ARG BASE
ARG VENDOR
FROM ${VENDOR} AS vendor
FROM ${BASE} AS base

FROM scratch
COPY --from=vendor / /
COPY --from=base /usr/local/bin/await-secrets /usr/local/bin/probe /usr/local/bin/
# initdb wants its user to have a name; the socket's peer authentication goes by it.
RUN usermod -u 61001 postgres && groupmod -g 61001 postgres && rm -rf /var/lib/postgresql/data \
    && install -d -o 61001 -g 61001 -m 0700 /var/lib/postgresql/data
COPY start pg_hba.conf postgresql.conf roles.sql /opt/praxis/
ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
    PGDATA=/var/lib/postgresql/data/15 PGHOST=/tmp
# A fast shutdown: the one SIGTERM asks for waits until every client is gone.
STOPSIGNAL SIGINT
ENTRYPOINT ["await-secrets", "/opt/praxis/start"]
