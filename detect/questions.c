/* The questions that a child of Foghorn answers. SPDX-License-Identifier: Apache-2.0 */
#include "detect/answer.h"

const fh_question fh_questions[] = {
    {"isa", false, fh_answer_isa},
    {"topology", false, fh_answer_topology},
    {"cuda", false, fh_answer_cuda},
    {"cuda:", true, fh_answer_cuda}, /* the same with one GPU visible; the rest names the record */
    {"opencl:", true, fh_answer_opencl},
    {0},
};
