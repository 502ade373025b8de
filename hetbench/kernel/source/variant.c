/* Everything that is compiled twice on x86-64: for any processor, and for one with AVX2 and FMA. */
#include "arithmetic.h"
#include "models.h"
#include "operators.h"
#include "programs.h"
#include "plans.h"
#include "whole.h"

#define PASTE(a, b) a##_##b
#define NAMED(a, b) PASTE(a, b)
#define ENTRY(name) __attribute__((visibility("hidden"))) int NAMED(name, VARIANT)

ENTRY(forest)(const Forest *f, const float *matrix, int64_t stride, int64_t rows, double *out) {
    for (int64_t start = 0; start < rows; start += BLOCK)
        forest(f, matrix + start * stride, stride, rows - start < BLOCK ? (int)(rows - start) : BLOCK, out + start);
    return 0;
}

/* `labels` [rows, hidden]: what labels add to the first layer, bias included; `index` picks the row of each, or is NULL */
ENTRY(network)(const Network *f, const float *matrix, int64_t stride, int64_t rows, const float *labels,
               const int64_t *index, double *out) {
    float hidden[BLOCK * MOST_HIDDEN] __attribute__((aligned(32)));
    for (int64_t start = 0; start < rows; start += BLOCK) {
        int many = rows - start < BLOCK ? (int)(rows - start) : BLOCK;
        for (int r = 0; r < many; r++)
            copy(hidden + r * MOST_HIDDEN, labels + (index ? index[start + r] : start + r) * f->hidden, f->hidden);
        network(f, matrix + start * stride, stride, many, hidden, out + start);
    }
    return 0;
}

ENTRY(operators)(int64_t which_class, const Class *cls, const Facts *facts, const Group *groups, const int32_t *which,
                 const int32_t *row, const int32_t *halved, const double *columns, int64_t rows, int64_t asked,
                 double *out, double *work) {
    operators_of_class((int)which_class, cls, facts, groups, which, row, halved, columns, rows, rows, asked, out, work,
                       work + asked);
    return 0;
}

ENTRY(sums)(const Part *parts, int64_t many, const double *values, double *work, double *out) {
    return sum_of_parts(parts, many, values, work, out);
}

ENTRY(work)(const Part *parts, int64_t many, const double *values, double *work, double *out) {
    return work_of_parts(parts, many, values, work, out);
}

ENTRY(whole)(const Part *parts, int64_t many, const WholeFacts *facts, const Kind *kinds, const Seed *seeds,
             int64_t seeded, double batch, const double *values, double *work, double *out) {
    return whole_of_parts(parts, many, facts, kinds, seeds, seeded, batch, values, work, out);
}
