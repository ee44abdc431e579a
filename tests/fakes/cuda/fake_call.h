/* What every exported function of the stand-in CUDA driver begins and ends with. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_TESTS_FAKES_CUDA_FAKE_CALL_H_
#define FOGHORN_TESTS_FAKES_CUDA_FAKE_CALL_H_

#include "fake.h"

#define EXPORT __attribute__((visibility("default")))

/* Every line of the symbol file is exported under exactly its declaration. */
#define FH_CUDA(need, type, name, params) EXPORT type name params;
#include "detect/drivers/cuda_symbols.def"
#undef FH_CUDA

#define BEGIN(name)                         \
  fake_call call = fake_begin(FAKE_##name); \
  if (call.answered) return fake_end(&call, call.answer)
#define RETURN(code) return fake_end(&call, (code))
#define FAIL_IF(condition, code) \
  do {                           \
    if (condition) RETURN(code); \
  } while (0)
#define FINISH(code)                    \
  do {                                  \
    fh_cu_result finish_code_ = (code); \
    pthread_mutex_unlock(&fake_lock);   \
    RETURN(finish_code_);               \
  } while (0)

/* cuInit was called, by this process. */
bool fake_initialised(void);
#define NEED_INIT FAIL_IF(!fake_initialised(), FH_CUDA_ERROR_NOT_INITIALIZED)

/* Takes the lock and declares `context`, the current one, alive. */
#define NEED_CONTEXT                                                  \
  NEED_INIT;                                                          \
  fh_cu_context context = fake_current();                             \
  FAIL_IF(!context, FH_CUDA_ERROR_INVALID_CONTEXT);                   \
  pthread_mutex_lock(&fake_lock);                                     \
  if (!context->retained) FINISH(FH_CUDA_ERROR_CONTEXT_IS_DESTROYED); \
  if (context->poison) FINISH(context->poison)

/* Behind NEED_CONTEXT, for calls that may be unsafe while launches are captured. */
#define NEED_NO_CAPTURE \
  if (fake_capture_forbids(context)) FINISH(FH_CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED)

#endif /* FOGHORN_TESTS_FAKES_CUDA_FAKE_CALL_H_ */
