/* Texts to code of the stand-in OpenCL GPU: clang for this processor, as a shared library. SPDX-License-Identifier: Apache-2.0 */
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fake.h"

enum { MOST_WORDS = 64, PATH = 256 };

/* The end of a binary, behind the code and the text of which it was made: a truncated one lacks it. */
typedef struct tail {
  uint64_t code_bytes, text_bytes;
  char magic[8];
} tail;
static const char MAGIC[8] = "FAKECL1";

struct fake_code {
  void *library;
  char *binary;
  const char *text; /* preprocessed; zero-terminated */
  size_t bytes;
};

/* ---- files ---------------------------------------------------------------------------------------------------------- */

static char *read_all(const char *path, size_t *out_bytes) {
  FILE *file = fopen(path, "rb");
  struct stat about;
  if (!file) return NULL;
  char *bytes = fstat(fileno(file), &about) == 0 ? calloc(1, (size_t)about.st_size + 1) : NULL;
  *out_bytes = bytes ? fread(bytes, 1, (size_t)about.st_size, file) : 0;
  fclose(file);
  return bytes;
}

static bool write_all(const char *path, const void *bytes, size_t count) {
  FILE *file = fopen(path, "wb");
  if (!file) return false;
  const bool whole = fwrite(bytes, 1, count, file) == count;
  return fclose(file) == 0 && whole;
}

typedef struct folder {
  char path[PATH / 2], text[PATH], read[PATH], code[PATH], log[PATH];
} folder;

static bool make_folder(folder *f) {
  const char *tmp = getenv("TMPDIR");
  snprintf(f->path, sizeof f->path, "%.80s/fake-opencl-XXXXXX", tmp && *tmp ? tmp : "/tmp");
  if (!mkdtemp(f->path)) return false;
  snprintf(f->text, sizeof f->text, "%s/text.cl", f->path);
  snprintf(f->read, sizeof f->read, "%s/read.cl", f->path);
  snprintf(f->code, sizeof f->code, "%s/code.so", f->path);
  snprintf(f->log, sizeof f->log, "%s/log", f->path);
  return true;
}

static void remove_folder(const folder *f) {
  unlink(f->text);
  unlink(f->read);
  unlink(f->code);
  unlink(f->log);
  rmdir(f->path);
}

/* ---- code ------------------------------------------------------------------------------------------------------------ */

static char *join(const char *code, size_t code_bytes, const char *text, size_t text_bytes, size_t *out_bytes) {
  tail end = {code_bytes, text_bytes, {0}};
  memcpy(end.magic, MAGIC, sizeof MAGIC);
  char *binary = malloc(code_bytes + text_bytes + sizeof end);
  if (!binary) return NULL;
  memcpy(binary, code, code_bytes);
  memcpy(binary + code_bytes, text, text_bytes);
  memcpy(binary + code_bytes + text_bytes, &end, sizeof end);
  *out_bytes = code_bytes + text_bytes + sizeof end;
  return binary;
}

/* The text counts with its zero. */
fake_code *fake_code_load(const void *binary, size_t bytes) {
  tail end;
  folder f;
  if (bytes <= sizeof end) return NULL;
  memcpy(&end, (const char *)binary + bytes - sizeof end, sizeof end);
  if (memcmp(end.magic, MAGIC, sizeof MAGIC) != 0 || end.code_bytes + end.text_bytes + sizeof end != bytes || !make_folder(&f)) return NULL;
  fake_code *code = calloc(1, sizeof *code);
  if (code && write_all(f.code, binary, end.code_bytes)) code->library = dlopen(f.code, RTLD_LAZY | RTLD_LOCAL);
  remove_folder(&f);
  if (code && code->library)
    code->binary = join(binary, end.code_bytes, (const char *)binary + end.code_bytes, end.text_bytes, &code->bytes);
  if (code && code->binary) {
    code->text = code->binary + end.code_bytes;
    return code;
  }
  fake_code_free(code);
  return NULL;
}

void fake_code_free(fake_code *code) {
  if (!code) return;
  if (code->library) dlclose(code->library);
  free(code->binary);
  free(code);
}

const void *fake_code_binary(const fake_code *code, size_t *out_bytes) {
  *out_bytes = code->bytes;
  return code->binary;
}

/* "__global const uchar *x_base": a buffer. */
static fake_kind kind_of(const char *parameter, size_t length) {
  if (memchr(parameter, '*', length)) return FAKE_BUFFER;
  for (size_t i = 0; i + 5 <= length; i++)
    if (memcmp(parameter + i, "float", 5) == 0) return FAKE_REAL;
  return FAKE_WHOLE;
}

static int read_parameters(const char *at, fake_kind out[FAKE_MOST_ARGUMENTS]) {
  int count = 0;
  while (count < FAKE_MOST_ARGUMENTS) {
    const size_t length = strcspn(at, ",)");
    out[count++] = kind_of(at, length);
    if (at[length] != ',') break;
    at += length + 1;
  }
  return count;
}

void *fake_code_find(const fake_code *code, const char *kernel, fake_kind out_kinds[FAKE_MOST_ARGUMENTS], int *out_count) {
  char head[PATH];
  snprintf(head, sizeof head, "void %s(", kernel);
  const char *at = strstr(code->text, head);
  if (!at) return NULL;
  *out_count = read_parameters(at + strlen(head), out_kinds);
  return dlsym(code->library, kernel);
}

/* ---- the compiler ------------------------------------------------------------------------------------------------------ */

/* Where this very library is: the code is linked with it. */
static const char *own_path(void) {
  Dl_info info;
  fake_code *(*function)(const char *, const char *, char **) = fake_code_build;
  void *address;
  memcpy(&address, &function, sizeof address);
  return dladdr(address, &info) ? info.dli_fname : "";
}

static bool run(const folder *f, const char *const *words) {
  int result = -1;
  const pid_t child = fork();
  if (child == 0) {
    const int log = open(f->log, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    unsetenv("LD_LIBRARY_PATH"); /* the compiler is no test */
    execv(FAKE_CLANG, (char *const *)words);
    _exit(127);
  }
  return child > 0 && waitpid(child, &result, 0) == child && result == 0;
}

/* `options` is cut into words. */
static int add_options(const char **words, int count, char *options) {
  for (char *word = strtok(options, " "); word && count < MOST_WORDS - 16; word = strtok(NULL, " ")) words[count++] = word;
  return count;
}

static int add_words(const char **words, int count, const char *const *more) {
  while (*more) words[count++] = *more++;
  return count;
}

/* The code, and beside it what the preprocessor makes of the text, in which parameters can be read. */
static bool compile(const folder *f, const char *options) {
  char copy[1024];
  const char *words[MOST_WORDS] = {FAKE_CLANG, "-x", "cl", "-w", "-include", FAKE_DEVICE_HEADER, f->text};
  snprintf(copy, sizeof copy, "%s", options);
  const int common = add_options(words, 7, copy);
  int count = add_words(words, common, (const char *const[]){"-E", "-P", "-o", f->read, NULL});
  words[count] = NULL;
  if (!run(f, words)) return false;
  count = add_words(words, common,
                    (const char *const[]){"-O1", "-march=native", "-ffp-contract=off", "-fPIC", "-shared", "-nostdlib", "-x", "none",
                                          own_path(), "-o", f->code, NULL});
  words[count] = NULL;
  return run(f, words);
}

static fake_code *load_built(const folder *f) {
  size_t code_bytes = 0, text_bytes = 0, bytes = 0;
  char *code = read_all(f->code, &code_bytes), *text = read_all(f->read, &text_bytes);
  char *binary = code && text ? join(code, code_bytes, text, text_bytes + 1, &bytes) : NULL;
  fake_code *built = binary ? fake_code_load(binary, bytes) : NULL;
  free(code);
  free(text);
  free(binary);
  return built;
}

fake_code *fake_code_build(const char *text, const char *options, char **out_log) {
  const fake_persona *me = fake_persona_now();
  folder f;
  size_t bytes = 0;
  *out_log = NULL;
  if (me->refuses && strstr(options, me->refuses)) {
    *out_log = strdup("error: this stand-in refuses it");
    return NULL;
  }
  if (me->crashes && strstr(text, me->crashes)) abort();
  if (!make_folder(&f)) return NULL;
  fake_code *code = write_all(f.text, text, strlen(text)) && compile(&f, options) ? load_built(&f) : NULL;
  if (!code) {
    const char *why = dlerror();
    *out_log = read_all(f.log, &bytes);
    if (*out_log && !bytes && why) {
      free(*out_log);
      *out_log = strdup(why);
    }
  }
  remove_folder(&f);
  return code;
}
