/* The header of an NPY file, versions 1 to 3. SPDX-License-Identifier: Apache-2.0
 * Magic, version, header length (16 or 32 bits, little-endian), then a Python dictionary literal with the keys
 * descr, fortran_order and shape. Only the literals that NumPy writes are understood; nothing is evaluated. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "algorithms/dataset/dataset.h"

enum { HEADER_MAX = 1 << 16, TEXT_MAX = 64 };

typedef struct reader {
  const char *at, *end;
} reader;

static void skip_space(reader *r) {
  while (r->at < r->end && isspace((unsigned char)*r->at)) r->at++;
}

static bool take(reader *r, char c) {
  skip_space(r);
  if (r->at == r->end || *r->at != c) return false;
  r->at++;
  return true;
}

/* A quoted string without escapes. */
static bool take_string(reader *r, char *out, size_t size) {
  skip_space(r);
  if (r->at == r->end || (*r->at != '\'' && *r->at != '"')) return false;
  char quote = *r->at++;
  size_t length = 0;
  while (r->at < r->end && *r->at != quote) {
    if (*r->at == '\\' || !isprint((unsigned char)*r->at) || length + 1 >= size) return false;
    out[length++] = *r->at++;
  }
  if (r->at == r->end) return false;
  r->at++;
  out[length] = 0;
  return true;
}

static bool take_word(reader *r, const char *word) {
  skip_space(r);
  size_t length = strlen(word);
  if ((size_t)(r->end - r->at) < length || memcmp(r->at, word, length) != 0) return false;
  r->at += length;
  return true;
}

static bool take_extent(reader *r, uint64_t *out) {
  skip_space(r);
  if (r->at == r->end || !isdigit((unsigned char)*r->at)) return false;
  uint64_t value = 0;
  for (; r->at < r->end && isdigit((unsigned char)*r->at); r->at++) {
    unsigned digit = (unsigned)(*r->at - '0');
    if (value > (UINT64_MAX - digit) / 10) return false;
    value = value * 10 + digit;
  }
  take(r, 'L'); /* Python 2 wrote long integers so */
  *out = value;
  return true;
}

/* (3, 4) or (3,) or (). The rank may be past FH_MAX_RANK: the caller refuses it. */
static bool take_shape(reader *r, fh_array_header *header) {
  if (!take(r, '(')) return false;
  header->rank = 0;
  while (!take(r, ')')) {
    uint64_t extent;
    if (!take_extent(r, &extent)) return false;
    if (header->rank < FH_MAX_RANK) header->extents[header->rank] = extent;
    header->rank++;
    if (!take(r, ',')) return take(r, ')');
  }
  return true;
}

static bool number_of(const char *code, fh_number *out) {
  static const struct {
    const char *code;
    fh_number number;
  } known[] = {{"u1", FH_NUM_U8},  {"i1", FH_NUM_I8},  {"b1", FH_NUM_U8},  {"u2", FH_NUM_U16}, {"i2", FH_NUM_I16}, {"u4", FH_NUM_U32},
               {"i4", FH_NUM_I32}, {"u8", FH_NUM_U64}, {"i8", FH_NUM_I64}, {"f2", FH_NUM_F16}, {"f4", FH_NUM_F32}, {"f8", FH_NUM_F64}};
  for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
    if (strcmp(known[i].code, code) == 0) {
      *out = known[i].number;
      return true;
    }
  }
  return false;
}

/* descr: an order mark and a type code; '=' and a missing mark mean the writer's own order, which the format
 * does not record, so they are taken for little-endian only where it cannot matter. */
static fh_status read_descr(const char *name, const char *descr, fh_array_header *header) {
  bool marked = descr[0] == '<' || descr[0] == '>' || descr[0] == '|';
  const char *code = marked ? descr + 1 : descr;
  if (code[0] == 'O')
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: NPY array of Python objects: those are pickles and are never loaded", name);
  if (!number_of(code, &header->number) || (!marked && code[1] != '1') || (descr[0] == '|' && code[1] != '1'))
    return FH_STATUS(FH_INVALID_ARGUMENT,
                     "%s: NPY element type '%s': expected u1, i1, b1, or u2, i2, u4, i4, u8, i8, f2, f4, f8 marked < or >\n"
                     "next: numpy.save('out.npy', array.astype('<f4'))",
                     name, descr);
  header->big_endian = descr[0] == '>';
  return FH_OK;
}

enum { HAVE_DESCR = 1, HAVE_ORDER = 2, HAVE_SHAPE = 4, HAVE_ALL = 7 };

static bool take_entry(reader *r, fh_array_header *header, char *descr, unsigned *have) {
  char key[TEXT_MAX];
  if (!take_string(r, key, sizeof key) || !take(r, ':')) return false;
  unsigned bit = strcmp(key, "descr") == 0           ? HAVE_DESCR
                 : strcmp(key, "fortran_order") == 0 ? HAVE_ORDER
                 : strcmp(key, "shape") == 0         ? HAVE_SHAPE
                                                     : 0;
  if (!bit || (*have & bit)) return false;
  *have |= bit;
  if (bit == HAVE_DESCR) return take_string(r, descr, TEXT_MAX);
  if (bit == HAVE_SHAPE) return take_shape(r, header);
  header->fortran = take_word(r, "True");
  return header->fortran || take_word(r, "False");
}

static bool take_dictionary(reader *r, fh_array_header *header, char *descr) {
  unsigned have = 0;
  if (!take(r, '{')) return false;
  while (!take(r, '}')) {
    if (!take_entry(r, header, descr, &have)) return false;
    if (!take(r, ',')) {
      if (!take(r, '}')) return false;
      break;
    }
  }
  skip_space(r);
  return have == HAVE_ALL && r->at == r->end;
}

static fh_status parse_dictionary(const char *name, const char *text, size_t size, fh_array_header *header) {
  char descr[TEXT_MAX] = "";
  reader r = {text, text + size};
  if (!take_dictionary(&r, header, descr)) {
    if (memmem(text, size, "[(", 2)) return FH_STATUS(FH_INVALID_ARGUMENT, "%s: NPY record array: expected one plain number type", name);
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: NPY header is not the dictionary NumPy writes (descr, fortran_order, shape)", name);
  }
  FH_TRY(read_descr(name, descr, header));
  if (header->rank < 1 || header->rank > FH_MAX_RANK)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: NPY rank %d: expected 1 to %d", name, header->rank, FH_MAX_RANK);
  return FH_OK;
}

/* After the first four bytes: "PY", two version bytes, then the length. */
static fh_status read_length(fh_byte_source *source, size_t *out_length) {
  const char *name = fh_byte_source_name(source);
  unsigned char b[4] = {0};
  FH_TRY(fh_byte_source_read(source, b, 4, "the NPY header"));
  if (b[0] != 'P' || b[1] != 'Y') return FH_STATUS(FH_INVALID_ARGUMENT, "%s: begins like NPY, but its magic is damaged", name);
  unsigned major = b[2], minor = b[3];
  if (major < 1 || major > 3 || minor != 0)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: NPY version %u.%u: expected 1.0, 2.0 or 3.0", name, major, minor);
  memset(b, 0, sizeof b);
  FH_TRY(fh_byte_source_read(source, b, major == 1 ? 2 : 4, "the NPY header"));
  *out_length = (size_t)b[0] | (size_t)b[1] << 8 | (size_t)b[2] << 16 | (size_t)b[3] << 24;
  if (*out_length > HEADER_MAX)
    return FH_STATUS(FH_INVALID_ARGUMENT, "%s: NPY header of %zu bytes: expected at most %d", name, *out_length, HEADER_MAX);
  return FH_OK;
}

fh_status fh_npy_header(fh_byte_source *source, fh_array_header *out_header) {
  size_t length = 0;
  FH_TRY(read_length(source, &length));
  char *text = malloc(length + 1);
  if (!text) return FH_STATUS(FH_RESOURCE_EXHAUSTED, "%s: no memory for an NPY header of %zu bytes", fh_byte_source_name(source), length);
  fh_array_header header = {.format = "NPY"};
  fh_status status = fh_byte_source_read(source, text, length, "the NPY header");
  if (!status) status = parse_dictionary(fh_byte_source_name(source), text, length, &header);
  free(text);
  if (!status) *out_header = header;
  return status;
}
