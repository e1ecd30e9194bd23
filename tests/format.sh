#!/usr/bin/env bash
# Holds every source file to .clang-format. Other major versions of clang-format than the project's
# lay some lines out differently, so with one of those the check is skipped (exit status 77).
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

wanted=14
for program in "clang-format-$wanted" clang-format ''; do
  if [[ $("$program" --version 2>/dev/null) == *"version $wanted."* ]]; then break; fi
done
if [ -z "$program" ]; then
  echo "skipped: clang-format $wanted is not installed"
  exit 77
fi

mapfile -t files < <(find bench host kernels_cl runtime tests tools \
  \( -name '*.[ch]' -o -name '*.[ch]pp' -o -name '*.cl' \))
differing=()
for file in "${files[@]}"; do
  "$program" "$file" | cmp -s - "$file" || differing+=("$file")
done
echo "${#files[@]} files, ${#differing[@]} of them not as .clang-format has them"
if [ ${#differing[@]} -ne 0 ]; then
  echo "mend with: $program -i ${differing[*]}"
  exit 1
fi
