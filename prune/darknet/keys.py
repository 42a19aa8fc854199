"""Options that Darknet knows and that do not define the network itself: training, augmentation, display."""

from __future__ import annotations

NET = (
    "batch subdivisions momentum decay angle saturation exposure hue learning_rate learning_rate_min burn_in "
    "max_batches policy steps scales seq_scales step scale gamma power sgdr_cycle sgdr_mult cycle mult lr_policy "
    "mosaic cutmix mixup flip jitter aspect max_crop min_crop blur gaussian_noise mosaic_bound letter_box_train "
    "time_steps track augment_speed sequential_subdivisions init_sequential_subdivisions num_steps_customized "
    "try_fix_nan loss_scale dynamic_minibatch use_cuda_graph optimized_memory workspace_size_limit_MB "
    "weights_reject_freq equidistant_point badlabels_rejection_percentage num_sigmas_reject_badlabels ema_alpha "
    "label_smooth_eps resize_step max_epochs adam B1 B2 eps inputs contrastive contrastive_jit_flip "
    "contrastive_color unsupervised attention adversarial_lr max_chart_loss rewritten train_only_bn stopbackward "
    "show_receptive_field"
).split()

LAYER = "clip onlyforward dont_update burnin_update stopbackward train_only_bn learning_rate".split()
"""Known in every section."""

CONVOLUTIONAL = "dot angle grad_centr reverse adversarial_lr stream wait_stream".split()

TRAINING_ONLY = "assisted_excitation sway rotate stretch stretch_sway".split()
"""Options of a convolution that change how Darknet trains it, not what it computes: ignored with a warning."""

DROPOUT = "dropblock dropblock_size_rel dropblock_size_abs".split()

SOFTMAX = "spatial noloss".split()

YOLO = (
    "jitter random resize max max_delta map counters_per_class objectness_smooth rescore focal_loss iou_thresh_kind "
    "thresh total track_history_size sim_thresh dets_for_track dets_for_show track_ciou_norm embedding_layer "
    "dc_obj_normalizer show_details delta_normalizer ema_alpha"
).split()

REGION = (
    "jitter random resize max map rescore focal_loss log sqrt classfix absolute background bias_match coord_scale "
    "object_scale noobject_scale mask_scale class_scale"
).split()

NOT_FOLLOWED_NET = frozenset(
    "batch subdivisions momentum decay angle saturation exposure hue learning_rate learning_rate_min burn_in "
    "max_batches policy steps scales seq_scales step scale gamma power sgdr_cycle sgdr_mult cycle mult lr_policy "
    "mosaic cutmix mixup flip jitter aspect max_crop min_crop blur gaussian_noise mosaic_bound letter_box_train "
    "time_steps augment_speed sequential_subdivisions init_sequential_subdivisions num_steps_customized try_fix_nan "
    "loss_scale dynamic_minibatch weights_reject_freq equidistant_point badlabels_rejection_percentage "
    "num_sigmas_reject_badlabels ema_alpha label_smooth_eps resize_step max_epochs adam B1 B2 eps contrastive "
    "contrastive_jit_flip contrastive_color unsupervised attention adversarial_lr max_chart_loss train_only_bn "
    "stopbackward".split()
)
"""Options of `[net]` that change how Darknet trains; training here takes its flags instead."""

NOT_FOLLOWED = frozenset(
    (
        *LAYER,
        *TRAINING_ONLY,
        *DROPOUT,
        *"angle grad_centr adversarial_lr jitter random resize max max_delta map counters_per_class ".split(),
        *"objectness_smooth rescore focal_loss iou_thresh_kind iou_thresh truth_thresh iou_loss ema_alpha".split(),
        *"iou_normalizer cls_normalizer obj_normalizer uc_normalizer delta_normalizer dc_obj_normalizer".split(),
        *"log sqrt classfix absolute background bias_match coord_scale object_scale noobject_scale".split(),
        *"mask_scale class_scale".split(),
    )
)
"""Options of layers that change how Darknet trains and that training here does not follow. (`stopbackward=1` is.)"""

OFF_AT_ZERO = frozenset(
    "angle adversarial_lr cutmix mixup blur gaussian_noise adam attention contrastive unsupervised train_only_bn "
    "dynamic_minibatch try_fix_nan random rescore focal_loss objectness_smooth onlyforward dont_update burnin_update "
    "grad_centr dropblock clip label_smooth_eps log sqrt classfix absolute background bias_match seq_scales "
    "assisted_excitation sway rotate stretch stretch_sway".split()
)
"""Those of them that have no effect where they are 0."""
