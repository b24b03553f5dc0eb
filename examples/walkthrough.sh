#!/bin/sh
# From an empty folder to production and back: walkthrough.sh [DIR]
set -eu
mkdir -p "${1:-walkthrough}"
cd "${1:-walkthrough}"

# A folder as the store, a bare repository as the remote: no service runs.
git init -q --bare remote.git
gitml init registry --store store --remote "$PWD/remote.git"
mkdir data model
printf 'x,y\n1,2\n2,4\n' >data/train.csv
printf '{"slope": 1.9}\n' >model/line.json

cd registry
gitml register datasets/line ../data -m "Points on a line" --label licence=CC0
gitml register models/line ../model --metric error=0.1 --input training=datasets/line
gitml push

# To staging and on to production, by a request each.
gitml promote models/line -t staging
gitml pr merge 1
gitml promote models/line@staging -t production
gitml pr merge 2

# A better model replaces it.
printf '{"slope": 2.0}\n' >../model/line.json
gitml register models/line ../model --metric error=0 --input training=datasets/line --push
gitml diff models/line@1 models/line@2
gitml promote models/line -t staging
gitml pr merge 3
gitml promote models/line@staging -t production
gitml pr merge 4

# Another clone gets what production runs.
git clone -q ../remote.git ../serving
gitml -C ../serving get models/line@production -o ../deployed
cat ../deployed/line.json

# And back again.
gitml rollback models/line -t production
gitml pr merge 5
git -C ../serving fetch -q
gitml -C ../serving get models/line@production -o ../deployed
cat ../deployed/line.json
gitml history production
gitml verify --all --deep
