typedef int gw_record_placeholder_t;
