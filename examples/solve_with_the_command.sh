#!/bin/sh
# Solve an image with the command on the embedded server, and read the answer with a program.
set -eu
image=${1:?usage: solve_with_the_command.sh IMAGE}

astrometry-client solve "$image" --local --picture --overwrite --scale-units degwidth --scale-lower 5 --scale-upper 60
astrometry-client solve "$image" --local --overwrite --json |
    python3 -c 'import json, sys; print(json.load(sys.stdin)["calibration"]["pixel_scale_arcsec"], "arcsec per pixel")'
