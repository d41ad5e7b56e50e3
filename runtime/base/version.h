/* version.h — which program this is, for records and reports. */
#ifndef BASE_VERSION_H
#define BASE_VERSION_H

/* "0.1.0". Static text. */
const char *version_text(void);
/* The commit it was built from, 12 digits, as git said when it was built, then "-dirty" when a file
 * was not as committed; "" where there is no history. Static text. */
const char *version_commit(void);

#endif
