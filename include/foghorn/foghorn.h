/* All of Foghorn. SPDX-License-Identifier: Apache-2.0 */
#ifndef FOGHORN_FOGHORN_H_
#define FOGHORN_FOGHORN_H_

#include <foghorn/context.h>
#include <foghorn/detect.h>
#include <foghorn/extend.h>
#include <foghorn/images.h>
#include <foghorn/irregular.h>
#include <foghorn/kernels.h>
#include <foghorn/kmeans.h>
#include <foghorn/layout.h>
#include <foghorn/low_precision.h>
#include <foghorn/maths.h>
#include <foghorn/memory.h>
#include <foghorn/neighbours.h>
#include <foghorn/products.h>
#include <foghorn/reduce.h>
#include <foghorn/sequence.h>
#include <foghorn/signal.h>
#include <foghorn/status.h>
#include <foghorn/types.h>

#endif /* FOGHORN_FOGHORN_H_ */
