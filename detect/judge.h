/* The steps of judging, in order. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_DETECT_JUDGE_H_
#define FOGHORN_DETECT_JUDGE_H_

#include "detect/findings.h"

/* 1. What should be here: --expect, the environment, the hardware. INVALID_ARGUMENT for a wrong SPEC. */
fh_status fh_judge_expectation(fh_judgement *judgement, const char *expect);
/* For its parts: raises what is expected of a family, never lowers it; a variable counts when it has a value. */
void fh_expect(fh_judgement *judgement, fh_family family, fh_expectation level, const char *source);
void fh_expect_variable(fh_judgement *judgement, fh_family family, fh_expectation level, const char *name);
void fh_expect_amd(fh_judgement *judgement);
void fh_expect_intel(fh_judgement *judgement);
/* Whose GPU a user means who says no more than "gpu": one that can be used, else the one for which most speaks, else one on PCI,
 * else NVIDIA's. */
fh_family fh_likeliest_gpu(const fh_judgement *judgement);
/* Whose GPU a variable is about that several makers' software obeys (CUDA_VISIBLE_DEVICES, SLURM_JOB_GPUS). */
fh_family fh_family_of_request(const fh_facts *facts);
/* 2. Devices, usable or not, the causes still open. */
fh_status fh_judge_devices(fh_judgement *judgement);
/* 3. The rules (detect/causes/), then: 4. each rejected device gets the first finding about it. */
void fh_judge_device_causes(fh_judgement *judgement);
/* 5. Remedies that fit this platform. */
void fh_judge_remedies(fh_judgement *judgement);
/* 6. What the user expects and does not get, then the words at the top. */
fh_status fh_judge_unmet(fh_judgement *judgement);
void fh_judge_verdict(fh_judgement *judgement);

/* "docker", "bare": how remedies and JSON name a platform. */
const char *fh_platform_key(fh_platform platform);

#endif /* FOGHORN_DETECT_JUDGE_H_ */
