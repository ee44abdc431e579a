/* The questions that a child of Foghorn answers. SPDX-License-Identifier: Apache-2.0 */
#include "detect/answer.h"

const fh_question fh_questions[] = {
    FH_QUESTIONS_WITHOUT_DRIVER,
    {"cuda", false, fh_answer_cuda},
    {"cuda:", true, fh_answer_cuda}, /* the same with one GPU visible; the rest names the record */
    {"nvml", false, fh_answer_nvml},
    {"opencl:", true, fh_answer_opencl},
    {"opencl-build:", true, fh_answer_opencl_build},
    {"opencl-loader", false, fh_answer_opencl_loader},
    {"opencl-loader:", true, fh_answer_opencl_loader},
    {"hsa", false, fh_answer_hsa},
    {"level-zero", false, fh_answer_level_zero},
    {0},
};
