# The image with what the program starts: git, for what it asks of a repository, and with
# --target sops also sops, for that source. The one of a release, which has neither, is
# made by `make image`. The last stage is what pre-commit builds (.pre-commit-hooks.yaml).
FROM golang:1.26 AS build
WORKDIR /victorgen
COPY . .
RUN CGO_ENABLED=0 go build -trimpath -o /usr/local/bin/victorgen ./cmd/victorgen

FROM golang:1.26 AS build-sops
RUN CGO_ENABLED=0 go install -trimpath github.com/getsops/sops/v3/cmd/sops@v3.13.3

FROM alpine:3 AS program
RUN apk add --no-cache git
COPY --from=build /usr/local/bin/victorgen /usr/local/bin/victorgen
USER 65532:65532
ENTRYPOINT ["victorgen"]

FROM program AS sops
COPY --from=build-sops /go/bin/sops /usr/local/bin/sops

FROM program AS git
