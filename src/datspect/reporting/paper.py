"""What the paper reports, for comparison.

Quan, Xu, Xu, Tong, Su, "DaTscan SPECT Image Classification for Parkinson's Disease" (2019), Tables 1 and 2.
"""

TABLE_1 = (
    # train loss, train accuracy, validation loss, validation accuracy
    (0.0088, 1.0000, 0.0848, 0.9800),
    (0.0108, 1.0000, 0.0459, 0.9800),
    (0.0968, 0.9584, 0.1729, 0.9400),
    (0.0148, 0.9966, 0.1395, 0.9800),
    (0.0603, 0.9635, 0.1180, 0.9600),
    (0.0341, 0.9736, 0.1591, 0.9600),
    (0.0033, 1.0000, 0.1178, 0.9600),
    (0.0033, 1.0000, 0.2117, 0.9600),
    (0.0049, 1.0000, 0.1985, 0.9600),
    (0.0029, 1.0000, 0.0821, 0.9796),
)
TABLE_1_MEAN = {
    "train_loss": 0.0240,
    "train_accuracy": 0.9890,
    "validation_loss": 0.1329,
    "validation_accuracy": 0.9645,
}
TABLE_1_SD = {"train_accuracy": 0.0161, "validation_accuracy": 0.0128}
TABLE_2 = {
    "n": 132,
    "accuracy": 0.9848,
    "loss": 0.0656,
    "true_positive": 88,
    "false_positive": 1,
    "true_negative": 42,
    "false_negative": 1,
    "sensitivity": 0.9888,
    "specificity": 0.9767,
    "precision": 0.9888,
    "pr_auc": 0.9967,
    "roc_auc": 0.9909,
}
REMARKS = (
    "The weighted mean of the paper's ten rows is 0.9659, not the 0.9645 it states. Nor do its other means follow from "
    "its rows: validation loss 0.1331 against 0.1329, training accuracy 0.9892 against 0.9890.",
    "Its accuracies are multiples of 1/50 and 1/49, not of the 1/66 that its folds would give: they fit about 499 "
    "images in its cross-validation, not 659.",
    "Its test subjects took part in the cross-validation that chose the hyper-parameters, so its 0.9848 is optimistic; "
    "with 132 subjects the 95 % interval (Wilson) is 0.946 to 0.996.",
)
