/* commands.h — one function per verb: argv[0] is the verb's name; returns the exit code. */
#ifndef LAUNCHER_COMMANDS_H
#define LAUNCHER_COMMANDS_H

int cmd_plan(int argc, char **argv);
int cmd_prepare(int argc, char **argv);
int cmd_train(int argc, char **argv);
int cmd_study(int argc, char **argv);
int cmd_generate(int argc, char **argv);
int cmd_score(int argc, char **argv);
int cmd_diff(int argc, char **argv);
int cmd_bench(int argc, char **argv);
int cmd_doctor(int argc, char **argv);
int cmd_fit(int argc, char **argv);
int cmd_report(int argc, char **argv);

#endif
