/* A book's numbers and their texts. */
#ifndef GW_BOOK_TEXT_H
#define GW_BOOK_TEXT_H
#include "gw_book.h"
#include "gw_record.h"
#include "gw_text.h"

/* Without a NUL; the writers may touch GW_TEXT_SLACK more. */
#define GW_BOOK_PRICE_TEXT_MAX 68u /* a sign, a point, 18 digits, or 63 decimals and one before them */
#define GW_BOOK_QTY_TEXT_MAX 200u  /* a point, 39 digits and 127 zeros */

/* Makes a level of a venue's texts. Where they are refused, `*why` says for which reason, of GW_BOOK_PRICE_REFUSED and
 * GW_BOOK_QTY_REFUSED. Zeros in front of a number are not kept. */
gw_book_refusal_t gw_book_level_parse(uint8_t side, const char *price, size_t price_length, const char *qty,
                                      size_t qty_length, gw_book_level_t *out, gw_refusal_t *why);

/* Writes a row's price, or its quantity, with the venue's digits; the length. */
size_t gw_book_price_text(const gw_book_row_t *row, unsigned scale, char *out);
size_t gw_book_qty_text(const gw_book_row_t *row, char *out);
/* The same lengths. */
size_t gw_book_price_size(const gw_book_row_t *row, unsigned scale);
size_t gw_book_qty_size(const gw_book_row_t *row);

/* The same without point and zeros in front, nothing where it is 0: what checksums are made of. A price's are a sign and
 * 20 digits at most. */
size_t gw_book_price_digits(const gw_book_row_t *row, unsigned scale, char *out);
size_t gw_book_qty_digits(const gw_book_row_t *row, char *out);

#endif
