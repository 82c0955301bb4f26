# The image of the hooks that pre-commit builds by Docker (.pre-commit-hooks.yaml).
FROM golang:1.26 AS build
WORKDIR /victorgen
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /usr/local/bin/victorgen ./cmd/victorgen

FROM alpine:3
RUN apk add --no-cache git
COPY --from=build /usr/local/bin/victorgen /usr/local/bin/victorgen
ENTRYPOINT ["victorgen"]
