# A project with its layer, from the project's folder:
#   docker buildx build -f …/docker/project.Dockerfile --build-arg LAYER=speed -t shop-speed:1.0.0 .
ARG LAYER=serving
FROM dovetail-${LAYER}:0.1.0
COPY . /project
