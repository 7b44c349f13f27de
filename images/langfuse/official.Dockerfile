# Langfuse's web: its pages and its API; its entry point also brings its databases to its version.
# All of the vendor's file system (its Node and its libraries are Alpine's) and none of its settings.
ARG VENDOR
FROM ${VENDOR} AS vendor

FROM scratch
COPY --from=vendor / /
COPY launch.mjs probe.mjs /opt/praxis/
RUN rm -rf /app/web/.next/cache && ln -s /tmp /app/web/.next/cache
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin NODE_ENV=production DOCKER_BUILD=0 \
    NEXT_TELEMETRY_DISABLED=1 NEXT_MANUAL_SIG_HANDLE=true HOME=/tmp XDG_CACHE_HOME=/tmp
WORKDIR /app
ENTRYPOINT ["node", "/opt/praxis/launch.mjs"]
CMD ["./web/entrypoint.sh", "node", "./web/server.js", "--keepAliveTimeout", "110000"]
