ARG BASE
ARG VENDOR
FROM ${VENDOR} AS vendor

FROM ${BASE}
COPY --from=vendor /usr/bin/weed /usr/local/bin/weed
COPY start /opt/praxis/start
RUN install -d -o 61013 -g 61013 -m 0700 /var/lib/objects
WORKDIR /tmp
ENTRYPOINT ["await-secrets", "/opt/praxis/start"]
