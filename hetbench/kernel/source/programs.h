/* Straight programs over columns of numbers: what an operator type's formulas say of its dims. */

enum { ADD, SUB, MUL, DIV, FLOOR_DIV, MOD, MAXIMUM, MINIMUM, GREATER, LESS, EQUAL, SELECT, NEGATE, LOG2, CEIL, RINT, CONSTANT,
       AND, NOT_EQUAL, AT_LEAST, AT_MOST };

typedef struct {
    int32_t code, a, b, c; /* registers */
    double constant;
} Step;

/* registers: [registers][rows]; the first hold the inputs, step i writes register inputs + i. Whole numbers below 2 ** 53
   are exact as doubles, and quotients of whole numbers are corrected where rounding reached the next whole number. */
IN double floor_quotient(double a, double b) {
    if (b == 0) return 0;
    double q = floor_(a / b);
    if (q * b > a && b > 0) q -= 1;
    else if ((q + 1) * b <= a && b > 0) q += 1;
    return q;
}

IN double rint_(double x) {
    if (!(x > -4503599627370496.0 && x < 4503599627370496.0)) return x;
    return x >= 0 ? (x + 4503599627370496.0) - 4503599627370496.0 : (x - 4503599627370496.0) + 4503599627370496.0;
}

#define EACH(expression)                                                                                               \
    for (int64_t r = 0; r < rows; r++) { double x = a[r], y = b[r]; (void)x; (void)y; to[r] = (expression); }          \
    break

static void program(const Step *steps, int64_t many, int64_t inputs, double *registers, int64_t rows) {
    for (int64_t i = 0; i < many; i++) {
        const Step *s = steps + i;
        double *to = registers + (inputs + i) * rows;
        const double *a = registers + s->a * rows, *b = registers + s->b * rows, *c = registers + s->c * rows;
        switch (s->code) {
        case ADD: EACH(x + y);
        case SUB: EACH(x - y);
        case MUL: EACH(x * y);
        case DIV: EACH(x / y);
        case FLOOR_DIV: EACH(floor_quotient(x, y));
        case MOD: EACH(x - y * floor_quotient(x, y));
        case MAXIMUM: EACH(maximum(x, y));
        case MINIMUM: EACH(minimum(x, y));
        case GREATER: EACH(x > y);
        case LESS: EACH(x < y);
        case EQUAL: EACH(x == y);
        case NOT_EQUAL: EACH(x != y);
        case AT_LEAST: EACH(x >= y);
        case AT_MOST: EACH(x <= y);
        case AND: EACH(x != 0 && y != 0);
        case SELECT: EACH(x != 0 ? y : c[r]);
        case NEGATE: EACH(-x);
        case LOG2: EACH(log2_(x));
        case CEIL: EACH(ceil_(x));
        case RINT: EACH(rint_(x));
        case CONSTANT: EACH(s->constant);
        }
    }
}
