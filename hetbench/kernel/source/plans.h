/* The operators of one network at one setting: sizes to dims, dims to latency, latency to sums. */

typedef struct { /* operators of one type and dtype */
    const Step *steps;
    int64_t many, inputs, rows, at; /* rows begin at row `at` of the class */
    const int32_t *sizes;           /* [inputs, rows]: where the values of a dim stand */
    const int32_t *outputs;         /* [columns]: register of each column */
} Piece;

typedef struct { /* operators of one class */
    int64_t which_class, rows, columns, pieces, groups;
    const Piece *piece;
    const double *count; /* [rows]: how often each runs */
    const int32_t *which; /* [rows]: group of each */
    const Class *cls;
    const Group *group;
} Part;

#define CHUNK 16
#define MOST_REGISTERS 160

static void dims(const Part *part, const double *values, double *columns) {
    double registers[MOST_REGISTERS * CHUNK];
    for (int64_t p = 0; p < part->pieces; p++) {
        const Piece *piece = part->piece + p;
        for (int64_t start = 0; start < piece->rows; start += CHUNK) {
            int64_t many = piece->rows - start < CHUNK ? piece->rows - start : CHUNK;
            for (int64_t i = 0; i < piece->inputs; i++)
                for (int64_t r = 0; r < many; r++)
                    registers[i * many + r] = values[piece->sizes[i * piece->rows + start + r]];
            program(piece->steps, piece->many, piece->inputs, registers, many);
            for (int64_t c = 0; c < part->columns; c++)
                for (int64_t r = 0; r < many; r++)
                    columns[c * part->rows + piece->at + start + r] = registers[piece->outputs[c] * many + r];
        }
    }
}

/* Sums of value, lower and upper bound in ms, then the ms of every group; `work` has room for the columns and bounds of
   the largest class. Returns 1 where a row belongs to another class: attention of one query is decoding. */
static int sum_of_parts(const Part *parts, int64_t many, const Facts *facts, const double *values, double *work,
                        double *out) {
    double *by_group = out + 3;
    out[0] = out[1] = out[2] = 0.0;
    for (int64_t p = 0; p < many; p++) {
        const Part *part = parts + p;
        int64_t rows = part->rows;
        double *columns = work, *bounds = work + part->columns * rows;
        dims(part, values, columns);
        if (part->which_class == PREFILL || part->which_class == DECODE)
            for (int64_t r = 0; r < rows; r++)
                if ((columns[rows + r] == 1) != (part->which_class == DECODE)) return 1;
        operators_of_class((int)part->which_class, part->cls, facts, part->group, part->which, columns, rows, bounds);
        for (int64_t g = 0; g < part->groups; g++) by_group[g] = 0.0;
        for (int end = 0; end < 3; end++) {
            double total = 0.0;
            for (int64_t r = 0; r < rows; r++) {
                double ms = bounds[end * rows + r] * part->count[r];
                total += ms;
                if (end == 0) by_group[part->which[r]] += ms;
            }
            out[end] += total;
        }
        by_group += part->groups;
    }
    return 0;
}
