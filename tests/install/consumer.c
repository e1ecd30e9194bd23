/* A stranger's C program on an installed clattn: the header, the library and the version that it
   was given agree, and the CPU reference computes an attention whose result is known. Needs no
   device. */
#include <clattn/clattn.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { kDim = 8 };

int main(int argument_count, char** arguments) {
  if (argument_count != 2 || strcmp(arguments[1], CLATTN_VERSION_STRING) != 0 ||
      strcmp(arguments[1], clattn_version_string()) != 0) {
    printf("the headers are of version %s, the library of %s\n", CLATTN_VERSION_STRING,
           clattn_version_string());
    return 1;
  }

  /* Two keys whose scores are ln 3 and 0, hence probabilities 3/4 and 1/4, and values 1 and 5: the
     output is 2. */
  float query[kDim] = {1.0f};
  float key[2 * kDim] = {1.0986123f};
  float value[2 * kDim];
  for (int i = 0; i < kDim; ++i) {
    value[i] = 1.0f;
    value[kDim + i] = 5.0f;
  }
  double output[kDim];

  clattn_problem problem;
  clattn_reference reference;
  clattn_problem_init(&problem, sizeof problem);
  clattn_reference_init(&reference, sizeof reference);
  problem.query_len = 1;
  problem.key_len = 2;
  problem.head_dim = kDim;
  problem.value_dim = kDim;
  problem.has_scale = 1;
  problem.scale = 1.0f;
  reference.query = query;
  reference.query_bytes = sizeof query;
  reference.key = key;
  reference.key_bytes = sizeof key;
  reference.value = value;
  reference.value_bytes = sizeof value;
  reference.output = output;
  reference.output_count = kDim;
  if (clattn_reference_compute(&problem, &reference) != CLATTN_STATUS_SUCCESS) {
    printf("%s\n", clattn_last_error());
    return 1;
  }
  printf("attention gives %f, and should give 2\n", output[kDim - 1]);
  return fabs(output[kDim - 1] - 2.0) < 1e-6 ? 0 : 1;
}
