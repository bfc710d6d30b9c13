#!/usr/bin/env bash
# From a fresh clone to a trained and tested classifier in one command:
#
#   bash scripts/quickstart.sh [FOLDER]      # default: ./slim_train_quickstart
#
# Makes .venv, installs slim-train, then converts 1,797 handwritten digits, trains LeNet on them, evaluates it and shows
# one prediction. Run again, it goes on from what FOLDER holds.
set -euo pipefail
output="${1:-slim_train_quickstart}"
mkdir -p "$output"
output="$(cd "$output" && pwd)"
cd "$(dirname "$0")/.."
. scripts/environment.sh
prepare_environment demo,plots
PATH="$PWD/.venv/bin:$PATH"

show_and_run() {
  printf '\n$'
  printf ' %q' "$@"
  printf '\n'
  "$@"
}

began=$SECONDS
show_and_run download_and_convert_data --dataset_name=digits --dataset_dir="$output/digits"
show_and_run train_image_classifier --dataset_dir="$output/digits" --train_dir="$output/lenet" --model_name=lenet \
  --max_number_of_steps=400 --optimizer=adam --opt_epsilon=1e-8 --learning_rate=0.001 --seed=1 --log_every_n_steps=50
show_and_run eval_image_classifier --train_dir="$output/lenet"

python - "$output/lenet/eval_test" <<'END'
import csv, json, pathlib, sys

folder = pathlib.Path(sys.argv[1])
accuracy = json.loads((folder / "eval_test.json").read_text(encoding="utf-8"))["accuracy"]
with (folder / "predictions_test.csv").open(encoding="utf-8", newline="") as file:
    first = next(csv.DictReader(file))
print(f"\nOne of the test images: {first['file']} shows the digit {first['label']}.")
print(f"LeNet says {first['prediction']}, with probability {float(first['probability']):.4f}.")
print(f"Of all test images it gets {accuracy:.2%} right.")
if accuracy <= 0.95:
    sys.exit("error: more than 95% was expected.")
END

cat <<END

Done in $((SECONDS - began)) s after the installation. What there is now:
  $output/digits            the data set: TFRecord files, labels.txt, info.json
  $output/lenet             the trained net: checkpoints, config.yaml, metrics.jsonl, TensorBoard events
  $output/lenet/eval_test   its evaluation: figures, predictions, confusion matrix, worst mistakes

To try next, after: source .venv/bin/activate
  tensorboard --logdir $output/lenet
  train_image_classifier --help
  download_and_convert_data --dataset_name=image_folder --pic_path=YOUR_IMAGES --dataset_dir=YOUR_DATA_SET
README.md goes on from here: your own images, fine-tuning, several GPUs.
END
