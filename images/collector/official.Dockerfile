ARG BASE
ARG VENDOR
FROM ${VENDOR} AS vendor

FROM ${BASE}
COPY --from=vendor /otelcol-contrib /usr/local/bin/collector
# The disk-backed queue; a fresh volume takes over owner and mode.
RUN install -d -o 61005 -g 61005 -m 0700 /var/lib/collector
ENTRYPOINT ["await-secrets", "collector"]
CMD ["--config=/etc/praxis/collector.yaml"]
