# One image for each service: docker build --target signaling . (or media-sender, segment-loader, demo-producer)
FROM node:26-bookworm-slim AS manifests
WORKDIR /source
COPY . .
RUN mkdir /manifests && cp --parents package-lock.json .npmrc $(find . -name package.json) /manifests

FROM node:26-bookworm-slim AS install
WORKDIR /app
COPY --from=manifests /manifests .
COPY infra/docker/install-packages /usr/local/bin/

FROM install AS build
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build && mkdir /built && cp -r --parents packages/*/dist services/*/dist apps/*/dist examples/*/dist /built \
 && rm -r /built/packages/testkit

FROM node:26-bookworm-slim AS runtime
ENV NODE_ENV=production METRICS_ADDRESS=0.0.0.0
WORKDIR /app
COPY infra/docker/healthcheck /usr/local/bin/

FROM install AS signaling-packages
RUN install-packages @humancast/signaling

FROM install AS media-sender-packages
RUN install-packages @humancast/media-sender

FROM install AS segment-loader-packages
RUN install-packages @humancast/segment-loader

FROM install AS demo-producer-packages
RUN install-packages @humancast/demo-producer

# Debian's ffmpeg comes with drivers for graphics cards and sound servers; what the programs load is a third of it.
FROM node:26-bookworm-slim AS ffmpeg
RUN apt-get update && apt-get install -y --no-install-recommends ffmpeg && rm -rf /var/lib/apt/lists/*
RUN mkdir /programs && cd /usr/bin && cp --parents /usr/bin/ffmpeg /usr/bin/ffprobe /programs \
 && ldd ffmpeg ffprobe | awk '$2 == "=>" { print $3 }' | sed 's|^/lib/|/usr/lib/|' | sort -u \
  | xargs cp --parents --dereference --target-directory=/programs

FROM runtime AS signaling
COPY --from=signaling-packages /app .
COPY --from=build /built/packages packages
COPY --from=build /built/services/signaling services/signaling
COPY --from=build /built/apps/console apps/console
USER node
EXPOSE 8080 9101
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["healthcheck", "9101"]
CMD ["node", "services/signaling/dist/main.js"]

FROM runtime AS media-sender
COPY --from=media-sender-packages /app .
COPY --from=build /built/packages packages
COPY --from=build /built/services/media-sender services/media-sender
USER node
EXPOSE 9103
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["healthcheck", "9103"]
CMD ["node", "services/media-sender/dist/main.js"]

FROM runtime AS segment-loader
COPY --from=ffmpeg /programs /
RUN mkdir /scratch /archive && chown node:node /scratch /archive
COPY --from=segment-loader-packages /app .
COPY --from=build /built/packages packages
COPY --from=build /built/services/segment-loader services/segment-loader
USER node
EXPOSE 8081 9102
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["healthcheck", "9102"]
CMD ["node", "services/segment-loader/dist/main.js"]

FROM runtime AS demo-producer
RUN apt-get update && apt-get install -y --no-install-recommends espeak-ng && rm -rf /var/lib/apt/lists/*
COPY --from=demo-producer-packages /app .
COPY --from=build /built/packages packages
COPY --from=build /built/examples/demo-producer examples/demo-producer
USER node
EXPOSE 8082 9104
HEALTHCHECK --interval=5s --timeout=3s --start-period=30s CMD ["healthcheck", "9104"]
CMD ["node", "examples/demo-producer/dist/main.js"]
