namespace Ka.Cli.Login;

/// <summary>The clock of one flow of work: that of the machine unless another is chosen.</summary>
static class FlowClock
{
    static readonly AsyncLocal<TimeProvider?> Chosen = new();

    public static TimeProvider Current
    {
        get => Chosen.Value ?? TimeProvider.System;
        set => Chosen.Value = value;
    }
}
