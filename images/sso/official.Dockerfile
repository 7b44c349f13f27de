ARG BASE
ARG VENDOR
FROM ${VENDOR} AS vendor

FROM ${BASE} AS taken
COPY --from=vendor /bin/oauth2-proxy /usr/local/bin/oauth2-proxy
RUN chmod 0111 /usr/local/bin/oauth2-proxy

FROM ${BASE}
COPY --from=taken /usr/local/bin/oauth2-proxy /usr/local/bin/oauth2-proxy
ENTRYPOINT ["await-secrets", "oauth2-proxy"]
CMD ["--config=/etc/praxis/sso.cfg"]
