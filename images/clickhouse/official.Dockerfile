# One program, which needs the C library alone; its settings are all in the file that it is given.
ARG BASE
ARG VENDOR
FROM ${VENDOR} AS vendor

FROM ${BASE}
COPY --from=vendor /usr/bin/clickhouse /usr/local/bin/clickhouse
RUN install -d -o 61012 -g 61012 -m 0700 /var/lib/clickhouse
WORKDIR /tmp
ENTRYPOINT ["await-secrets", "clickhouse", "server"]
CMD ["--config-file=/etc/praxis/clickhouse.yaml"]
