/* Lines of the `udp` feed in their usual form: a JSON object of the members that its record has,
 * each once, in any order, with JSON's white space or without, texts of printable ASCII without
 * escapes (symbols of any bytes), prices and quantities as texts or as numbers. Pure.
 *
 * What is of another form is not judged here, good or bad: that is for the decoder that knows all
 * of JSON (gateway/feeds/venues/tickgate_json.py). So there is one owner of what is an error, and
 * this parser's only law is that it takes nothing which that one would refuse or read otherwise, where
 * the symbol is UTF-8: it is only good for looking up one that is. */
#ifndef GW_LINE_H
#define GW_LINE_H
#include "gw_kind.h"

typedef enum { GW_LINE_OTHER, GW_LINE_USUAL, GW_LINE_BLANK } gw_line_form_t;

typedef struct {
    uint8_t kind;
    int64_t ts;   /* ns, 0 where the sender gave none */
    gw_text_t symbol;
    gw_text_t texts[GW_FIELDS_MAX]; /* as gw_record_fill takes them, and checked there */
} gw_line_t;

/* Fills `line`, whose texts point into the bytes given, where these are of the usual form. */
gw_line_form_t gw_line_parse(const char *at, size_t length, gw_line_t *line);

#endif
