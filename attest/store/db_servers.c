#include "attest/store/db_kind.h"

const struct db_server db_servers[] = {{"postgresql://", &db_postgres}, {"postgres://", &db_postgres}, {0}};
