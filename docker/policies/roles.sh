# The roles whose policies lie here, a line each: the name, and the pair that its variable holds, "ACCESS SECRET".
# shellcheck shell=sh disable=SC2034 # for whoever reads this by `.`
roles="sender $SENDER
pipeline $PIPELINE
scheduler $SCHEDULER
reviewer $REVIEWER
reader $READER
deployment $DEPLOYMENT
eraser $ERASER"
