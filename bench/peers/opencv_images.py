#!/usr/bin/python3
"""OpenCV as a peer of images. SPDX-License-Identifier: Apache-2.0"""
import cv2
import numpy as np

from serve import Cannot, peer, serve

VERSION = cv2.__version__


def resized(case, dtype):
    """Its area method is ours for smaller images alone."""
    cv2.setNumThreads(case.threads)
    x, (_, ho, wo, _) = case.view("x"), case.views["y"]["shape"]
    if x.dtype != dtype:
        raise Cannot("another entry is for this type")
    area = case.scalars["method"] == 1
    if area and (ho > x.shape[1] or wo > x.shape[2]):
        raise Cannot("its area method enlarges by another rule")
    how = cv2.INTER_AREA if area else cv2.INTER_LINEAR
    y = np.empty(case.views["y"]["shape"], dtype)

    def run():
        for image, out in zip(x, y):
            cv2.resize(image, (wo, ho), dst=out, interpolation=how)
        return y

    return run


@peer("OpenCV", "resize", version=VERSION, tolerance=2e-3)
def resize(case):
    """Its bilinear weights come of places in float: at element 1000 they are off by 2^-14."""
    return resized(case, np.float32)


@peer("OpenCV, weights in 2048ths", "resize", version=VERSION, tolerance=0.3)
def resize_bytes(case):
    """Its bytes are often one off, which is no error."""
    return resized(case, np.uint8)


@peer("OpenCV", "u8_to_f32_nchw", version=VERSION, tolerance=1e-4)
def u8_to_f32_nchw(case):
    """blobFromImages divides by one deviation for all channels."""
    cv2.setNumThreads(case.threads)
    x, mean, std = case.view("x"), case.view("mean"), case.view("std")
    if x.shape[3] not in (1, 3) or not np.all(std == std[0]):
        raise Cannot("blobFromImages takes 1 or 3 channels with one deviation")
    images, means = list(x), tuple(float(m) * 255 for m in mean)
    return lambda: cv2.dnn.blobFromImages(images, 1 / (255 * float(std[0])), mean=means)


@peer("OpenCV", "permute", version=VERSION)
def permute(case):
    cv2.setNumThreads(case.threads)
    x = case.view("x")
    if x.ndim != 2 or case.scalars["axis0"] != 1:
        raise Cannot("it transposes matrices")
    y = np.empty(case.views["y"]["shape"], x.dtype)

    def run():
        cv2.transpose(x, dst=y)
        return y

    return run


serve()
