/* CLATTN_API marks what the shared library exports; everything else stays hidden. */
#ifndef CLATTN_EXPORT_H_
#define CLATTN_EXPORT_H_

#if defined(_WIN32)
#define CLATTN_API
#else
#define CLATTN_API __attribute__((visibility("default")))
#endif

#endif  // CLATTN_EXPORT_H_
