#include "vmm/devices/rtc.h"

static uint8_t bcd(int number)
{
    return (uint8_t)(number / 10 % 10 << 4 | number % 10);
}

uint8_t rtc_register(uint8_t index, time_t now)
{
    enum { RATE_32768_HZ = 0x26, HOURS_24 = 0x02, VALID = 0x80 };
    struct tm t = {0};
    gmtime_r(&now, &t);
    switch (index & 0x7f) {
    case 0x00:
        return bcd(t.tm_sec);
    case 0x02:
        return bcd(t.tm_min);
    case 0x04:
        return bcd(t.tm_hour);
    case 0x06:
        return bcd(t.tm_wday + 1);
    case 0x07:
        return bcd(t.tm_mday);
    case 0x08:
        return bcd(t.tm_mon + 1);
    case 0x09:
        return bcd(t.tm_year);
    case 0x0a:
        return RATE_32768_HZ; /* no update in progress */
    case 0x0b:
        return HOURS_24;
    case 0x0d:
        return VALID;
    default:
        return 0;
    }
}
