ARG BASE
ARG VENDOR
FROM ${VENDOR} AS vendor

FROM ${BASE} AS taken
COPY --from=vendor /usr/local/bin/traefik /usr/local/bin/traefik
RUN chmod 0111 /usr/local/bin/traefik

FROM ${BASE}
# Mode 0111: a process of a binary it cannot read is not dumpable, so a neighbour of the same uid cannot look into it.
COPY --from=taken /usr/local/bin/traefik /usr/local/bin/traefik
ENTRYPOINT ["await-secrets", "traefik"]
CMD ["--configFile=/etc/praxis/traefik.yaml"]
