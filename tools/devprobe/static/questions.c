/* The questions that the static devprobe answers itself. SPDX-License-Identifier: Apache-2.0 */
#include "detect/answer.h"

const fh_question fh_questions[] = {FH_QUESTIONS_WITHOUT_DRIVER, {0}};
