#!/bin/sh
# The first run: fine-tunes the example model on two logical nodes, then asks base and tuned model the same questions.
set -eu
bin="$1"
cd "$(dirname "$0")/.."
"$bin/ftlaunch" --config configs/lora-tiny.yaml --nodes 2 --resume never
for question in "Who is Mr. Darcy?" "Who is Emma Woodhouse?" "Tell me of Pemberley."; do
  echo
  echo "question: $question"
  "$bin/ftlaunch" generate --model examples/tiny-llama --adapter out/lora-tiny/adapter --instruction "$question" --compare --max-new-tokens 40
done
