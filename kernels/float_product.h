/* The oracle of products whose sums are f32, and how far from it a result may be. SPDX-License-Identifier: Apache-2.0
 *
 * Factors have so few bits that products of them are exact in f32; what is asked here is how their sum is rounded.
 */
#ifndef FOGHORN_KERNELS_FLOAT_PRODUCT_H_
#define FOGHORN_KERNELS_FLOAT_PRODUCT_H_

#include <float.h>
#include <math.h>

#include "kernels/product.h"
#include "kernels/unaligned.h"

/* What differs between kernels. */
typedef struct fh_float_product {
  int64_t group;                               /* elements in a word of packed weights */
  double (*read)(const void *data, int64_t i); /* the factor that element i is */
} fh_float_product;

/* One element of C in double, and sum |a||b|, which scales its error. */
static inline double fh_float_product_at(const fh_float_product *kind, const fh_product *p, void *const *data, int64_t s, int64_t i,
                                         int64_t j, double *out_magnitude) {
  double sum = 0, magnitude = 0;
  for (int64_t l = 0; l < p->k; l++) {
    const double product = kind->read(data[FH_PRODUCT_A], s * p->a[0] + i * p->a[1] + l * p->a[2]) *
                           kind->read(data[FH_PRODUCT_B], fh_product_at_b(p, s, l, j, kind->group));
    sum += product;
    magnitude += fabs(product);
  }
  *out_magnitude = magnitude;
  return sum;
}

static inline void fh_float_product_reference(const fh_float_product *kind, const fh_view_desc *views, void *const *data) {
  const fh_product p = fh_product_of(views, kind->group);
  double magnitude;
  for (int64_t s = 0; s < p.batch; s++)
    for (int64_t i = 0; i < p.m; i++)
      for (int64_t j = 0; j < p.n; j++)
        ((fh_f32_any *)data[FH_PRODUCT_C])[s * p.c[0] + i * p.c[1] + j * p.c[2]] =
            (float)fh_float_product_at(kind, &p, data, s, i, j, &magnitude);
}

/* One element: within `gamma` of sum |a||b|, and what gradual underflow may lose of k products. Where sum |a||b| leaves the range of f32 an
 * intermediate may overflow, and only the place is checked. */
static inline bool fh_float_product_near(double found, double exact, double magnitude, double gamma, int64_t k) {
  if (isnan(exact)) return isnan(found);
  if (isinf(exact)) return found == exact;
  if (magnitude * (1 + gamma) > (double)FLT_MAX) return true;
  return fabs(found - exact) <= gamma * magnitude + 0x1p-24 * fabs(exact) + ((double)k + 1) * 0x1p-149;
}

/* roundings: of 2^-24 that a sum of k products may have, in the order of sums of their magnitudes. */
static inline const char *fh_float_product_compare(const fh_float_product *kind, const fh_case *c, void *const *got, void *const *want,
                                                   double (*roundings)(int64_t k)) {
  const fh_product p = fh_product_of(c->views, kind->group);
  const double u = roundings(p.k) * 0x1p-24, gamma = u < 0.5 ? u / (1 - u) : 1.0;
  for (int64_t s = 0; s < p.batch; s++) {
    for (int64_t i = 0; i < p.m; i++) {
      for (int64_t j = 0; j < p.n; j++) {
        double magnitude;
        const double exact = fh_float_product_at(kind, &p, want, s, i, j, &magnitude);
        const double found = (double)((const fh_f32_any *)got[FH_PRODUCT_C])[s * p.c[0] + i * p.c[1] + j * p.c[2]];
        if (!fh_float_product_near(found, exact, magnitude, gamma, p.k))
          return isnan(exact) || isinf(exact) ? "an element that must be NaN or infinite is not"
                                              : "an element is off by more than its roundings of sum |a||b|";
      }
    }
  }
  return NULL;
}

#endif /* FOGHORN_KERNELS_FLOAT_PRODUCT_H_ */
